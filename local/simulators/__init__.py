"""Servers that simulate video providers: one folder for each provider, and shared modules.

The folder of a provider (`openai`) holds the provider's API, rules and command line. The package `shared` holds the
HTTP server (`server`, `body`), its records and faults (`recorder`, `faults`, `control`, `store`), the clock (`clock`)
and the pictures (`render`, `writer`, `footage`, `mascot`). Tests and the local stack use `process` to start and control
a simulator.
"""
