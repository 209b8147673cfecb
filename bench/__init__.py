"""Measurements that anyone can repeat; each compares with a baseline in the same run."""
