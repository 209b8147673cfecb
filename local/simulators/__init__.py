"""Servers that stand in for video providers: one folder each, the rest shared.

A provider's folder (`openai`) holds its own API, rules and command line. Shared are the HTTP server (`server`,
`body`), what it remembers and injects (`recorder`, `faults`, `control`, `store`), the clock (`clock`), the pictures
(`render`, `writer`, `footage`, `mascot`), and `process`, with which tests and the local stack start and steer one.
"""
