"""Functions run alone: as processes under AWS's runtime client, or by `sam local`."""
