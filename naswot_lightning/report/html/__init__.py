"""``report.html``: a run as one page, with its style, scripts and data inside, that needs no network and no server."""
