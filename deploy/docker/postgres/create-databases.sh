#!/bin/sh
# Run once by the image when its volume is empty: a role and a database for each service that keeps SQL.
# Passwords come from the environment and are read inside psql, so they appear in no process list.
set -eu
for service in ingestion segmentation training model_registry; do
    psql --set=ON_ERROR_STOP=1 --set=service="$service" --username "$POSTGRES_USER" --dbname postgres <<SQL
\getenv password $(echo "${service}" | tr '[:lower:]' '[:upper:]')_DATABASE_PASSWORD
CREATE ROLE :"service" LOGIN PASSWORD :'password';
CREATE DATABASE :"service" OWNER :"service";
REVOKE CONNECT ON DATABASE :"service" FROM PUBLIC;
SQL
done
