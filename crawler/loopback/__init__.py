"""A small Commons on 127.0.0.1: the embedded default of the demo, held to a real MediaWiki by one suite of tests.

    with LoopbackCommons(folder, manifest) as server:
        ...                                             # server.host_map for the crawler's door

server.py listens; core.py puts answers together from api.py (the query loop and its continuation), lists/ (a file
each), props.py, meta.py and search.py; pages.py knows the pages, metadata.py what Commons says about licenses.
"""

from crawler.loopback.server import LoggedRequest, LoopbackCommons, ManifestError, serve

__all__ = ["LoggedRequest", "LoopbackCommons", "ManifestError", "serve"]
