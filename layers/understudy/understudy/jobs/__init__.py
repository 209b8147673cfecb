"""Jobs: how a requested video becomes a file in the bucket."""
