"""``/fhir/``: the resource types of every module under one root."""

from common.fhir.routes import fhir_routes
from hospitals.fhir import RESOURCES as HOSPITALS
from sharing.fhir import RESOURCES as SHARING

app_name = "fhir"
urlpatterns = fhir_routes((*SHARING, *HOSPITALS))
