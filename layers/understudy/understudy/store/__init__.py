"""AWS services. The only package that imports the AWS SDK."""
