"""Routes of this module under ``/api/v1/``."""

from django.urls import path

from hospitals.api import tokens, views

urlpatterns = [
    path("tokens", tokens.TokensView.as_view(), name="api-tokens"),
    path("tokens/<int:token_id>", tokens.TokenView.as_view(), name="api-token"),
    path("tokens/<int:token_id>/rotate", tokens.RotateView.as_view(), name="api-token-rotate"),
    path("regions", views.RegionsView.as_view(), name="api-regions"),
    path("consortia", views.ConsortiaView.as_view(), name="api-consortia"),
    path("institutions", views.InstitutionsView.as_view(), name="api-institutions"),
    path("institutions/<slug:code>", views.InstitutionView.as_view(), name="api-institution"),
    path("institutions/<slug:code>/endpoint", views.EndpointView.as_view(), name="api-endpoint"),
    path("institutions/<slug:code>/probes", views.ProbesView.as_view(), name="api-probes"),
    path("institutions/<slug:code>/activate", views.ActivateView.as_view(), name="api-activate"),
    path("institutions/<slug:code>/suspend", views.SuspendView.as_view(), name="api-suspend"),
    path("institutions/<slug:code>/leave", views.LeaveView.as_view(), name="api-leave"),
]
