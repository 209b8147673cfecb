"""The sealed part of Understudy: the only code that opens media made by strangers.

It reads a clip from S3 by ranges, decodes it with PyAV in a child process of its own, and writes stills, previews or a
new MP4 back under the same prefix. It knows one bucket prefix, no secret, no provider and no network protocol.
"""
