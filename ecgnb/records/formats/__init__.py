"""Readers of recordings, one module a family of formats.

Every module offers a pair: `is_...(path, head) -> bool` looks at the content, and
`read_...(path, request) -> Channels` reads. `recordings` asks them in turn.
"""
