"""The models, by what `curation.yaml` names: each is loaded where it is installed, or says loudly what is missing.

Nothing stands in for a model that is not there.
"""
