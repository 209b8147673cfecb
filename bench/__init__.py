"""Measurements that anyone can repeat. Times and memory are compared with a baseline in the same run."""
