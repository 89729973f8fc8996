"""v2's records in v1's form, for readers that cannot change yet: `export` and `serve-v1`.

Words of `serve-v1`: a *shelf* is a file with the records of the tickers of one company, in v1's
form and ready to be sent; these tickers are *shelf-mates*. A *bare* shelf lists v1's records
without their *text*, the JSON that is sent, which is then read from the lake. A full one holds the
texts, compressed with the *words* (keys, labels, units) that nearly all of them share.

Nothing here compares the generations; that is parity's.
"""
