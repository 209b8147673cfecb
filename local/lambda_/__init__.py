"""Runs single Lambda functions: as processes under AWS's runtime client, or with `sam local`."""
