"""FHIR R4 (4.0.1) as a server reads and searches: the pieces that every resource type shares.

A module describes its resource types (``resources.ResourceType``) and the configuration puts them under ``/fhir/``
(``routes.fhir_routes``). Nothing here knows which types there are.
"""
