"""Loading: what to ask, how to fetch it, and handing the answers to the lake."""
