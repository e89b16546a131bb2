"""The pure heart: from a typed flow and what happened to it, what is to be done next."""
