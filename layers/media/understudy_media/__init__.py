"""The sealed part of Understudy: the only code that opens media made by strangers.

It reads a clip from S3 by ranges, decodes the clip with PyAV in a separate child process, and writes stills, previews
or a new MP4 back under the same prefix. It knows one bucket prefix, no secret, no provider and no network protocol.
"""
