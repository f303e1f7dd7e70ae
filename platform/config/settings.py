"""Django settings, from the checked environment. Nothing here starts a server or opens a connection."""

import os
from pathlib import Path

from config.env import read_environment

ROOT = Path(__file__).resolve().parents[2]
ENV = read_environment(os.environ, root=ROOT)

DEBUG = ENV.debug
DEMO = ENV.demo
SECRET_KEY = ENV.secret_key
FIELD_KEYS = ENV.field_keys
LOOKUP_KEY = ENV.lookup_key
DATA_DIR = ENV.data_dir
ALLOWED_HOSTS = list(ENV.allowed_hosts)
CSRF_TRUSTED_ORIGINS = list(ENV.trusted_origins)
TRUSTED_PROXIES = ENV.trusted_proxies
CORS_ALLOWED_ORIGINS = ENV.cors_allowed_origins

OBJECT_STORE_URL = ENV.object_store_url
REDIS_URL = ENV.redis_url
PULL_PLACES = ENV.pull_places
PULL_LEASE_S = ENV.pull_lease_s
STORE_MAX_BYTES = ENV.store_max_bytes
DELETION_GRACE_H = ENV.deletion_grace_h
WEB_THREADS = ENV.web_threads
ON_DEMAND_WAIT_S = ENV.on_demand_wait_s
# Half of the threads stay for those who read what is here.
ON_DEMAND_READERS = min(ENV.on_demand_readers, max(1, ENV.web_threads // 2))
ON_DEMAND_PULLS = ENV.on_demand_pulls
FEDERATED_DEADLINE_S = ENV.federated_deadline_s
FEDERATED_CONNECTIONS = ENV.federated_connections
AUDIT = ENV.audit
MLLP_PORT = ENV.mllp_port
MLLP_HOST = ENV.mllp_host
MLLP_TLS_CERTIFICATE = ENV.mllp_tls_certificate
MLLP_TLS_KEY = ENV.mllp_tls_key
MLLP_TLS_CLIENT_CA = ENV.mllp_tls_client_ca
MLLP_MAX_BYTES = ENV.mllp_max_bytes
MLLP_CONNECTIONS = ENV.mllp_connections
PACK_CACHE_BYTES = ENV.cache_bytes
DECODER_PROCESSES = ENV.decoder_processes
DECODER_MEMORY_BYTES = ENV.decoder_memory_mb * 2**20
DECODER_TIME_S = ENV.decoder_time_s
HOSPITAL_NETWORKS = ENV.hospital_networks
HOSPITAL_FOLDERS = ENV.hospital_folders
ALLOW_LOOPBACK_HOSPITALS = ENV.allow_loopback_hospitals

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "drf_spectacular",
    "guardian",
    "django_htmx",
    "csp",
    "common.accounts",
    "common.audit",
    "common.events",
    "common.ui",
    "config",
    "hospitals",
    "sharing",
    "recognition",
    "billing",
]

MIDDLEWARE = [
    "common.logs.RequestContextMiddleware",
    "common.cors.CorsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "common.lanes.StaticFiles",
    "common.lanes.PagePolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "common.lanes.Language",
    "common.border.BorderMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "common.accounts.person.PersonMiddleware",
    "common.accounts.idle.IdleSessionMiddleware",
    "sharing.web.launch_middleware.LaunchMiddleware",
    "common.accounts.middleware.ClosedByDefaultMiddleware",
    "common.lanes.Messages",
    "common.lanes.FrameOptions",
    "common.lanes.Htmx",
    "common.ui.middleware.RefusalMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
ANONYMOUS_USER_NAME = None  # guardian: a stranger has no row and no rights
LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = "sharing:home"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "common.accounts.passwords.NotUsedBefore", "OPTIONS": {"remembered": 5}},
]
PASSWORD_MAX_DAYS = ENV.password_max_days
OIDC = ENV.oidc

EMAIL_BACKEND = ENV.mail.backend
EMAIL_HOST = ENV.mail.host
EMAIL_PORT = ENV.mail.port
EMAIL_HOST_USER = ENV.mail.user
EMAIL_HOST_PASSWORD = ENV.mail.password
EMAIL_USE_TLS = ENV.mail.starttls
EMAIL_USE_SSL = ENV.mail.tls
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = ENV.mail_from
PATIENT_NOTIFIER = ENV.patient_notifier

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "common.ui.context.site",
            ],
        },
    }
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": ENV.database.host,
        "PORT": ENV.database.port,
        "USER": ENV.database.user,
        "PASSWORD": ENV.database.password,
        "NAME": ENV.database.name,
        "CONN_HEALTH_CHECKS": True,  # a database that was restarted is noticed before it is used
        "OPTIONS": {
            "pool": {
                "min_size": 1,
                # Each pull of the web process's own has two threads: it, and the one that renews its lease.
                "max_size": ENV.web_threads + 2 * ENV.on_demand_pulls + 4,
                "timeout": 10,
            }
        },
    }
}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"socket_connect_timeout": 2, "socket_timeout": 2},
    }
}

LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", "简体中文"), ("en", "English")]
LOCALE_PATHS = [ROOT / "platform" / "common" / "ui" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "Asia/Shanghai"  # how instants are shown; they are stored in UTC

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "common.ui.static_files.MountedStaticFiles"},
}
WHITENOISE_USE_FINDERS = True

SESSION_COOKIE_AGE = 12 * 3600  # without use: common.accounts.idle extends it
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = ENV.behind_tls
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENV.behind_tls else None
SECURE_HSTS_SECONDS = 31_536_000 if ENV.behind_tls else 0
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:", "blob:"],
        "connect-src": ["'self'"],
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "common.accounts.authentication.BearerAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["common.api.parsers.BoundedJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "common.api.schema.ProblemSchema",
    "DEFAULT_PAGINATION_CLASS": "common.api.pagination.Pages",
    "EXCEPTION_HANDLER": "common.problem.handle_api_error",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Provincial imaging cloud",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "ENUM_NAME_OVERRIDES": {
        "InstitutionKind": "hospitals.models.Institution.Kind",
        "EndpointKind": "hospitals.models.Endpoint.Kind",
        "EncounterKind": "sharing.models.Encounter.Kind",
        "InstitutionState": "hospitals.models.Institution.State",
        "TokenState": "hospitals.api.tokens.STATES",
    },
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
}

CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False  # the lines of workers are filtered like those of the web
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A lost worker's message comes back after this; the database lease is what decides (DESIGN section 3).
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3 * 3600,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_connect_timeout": 5,
}

LOG_FORMAT = ENV.log_format
LOG_LEVEL = ENV.log_level
LOGGING_CONFIG = "common.logs.configure"
LOGGING = {"format": LOG_FORMAT, "level": LOG_LEVEL}
