"""``report.html``: a run as one page that needs no network and no server.

``page_of(run, findings)`` says what stands on it, as records of plain values; ``templates/`` lay it out; ``assets/``
are its style and scripts, all of them put into the one file. Texts of files reach the page through jinja2's escaping
or as JSON that ends no script; a Content-Security-Policy allows the page's own scripts by their hashes, and no network.
"""
