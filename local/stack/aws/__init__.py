"""The local AWS: MiniStack with eight changes, a module each. Each module's `install` makes its change."""
