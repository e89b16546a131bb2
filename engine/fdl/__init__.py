"""The Flow Definition Language: from text to a typed flow, and the evaluation of its parts.

`parser` reads a file, `model` is what it becomes; `expressions`, `mappings` and `resources`
give meaning to conditions, paths and resource names; `schema` describes all of it to editors.
Nothing here knows of Redis, Celery or the clock.
"""
