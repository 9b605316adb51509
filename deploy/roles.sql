-- The two roles of a PostgreSQL installation. Run once, as a superuser, in the application's database:
--
--   psql --dbname=tenantry --file=deploy/roles.sql
--   psql --dbname=tenantry --command='\password tenantry_owner' --command='\password tenantry_app'
--
-- Then:  SAAS_MIGRATION_DATABASE_URL=postgresql://tenantry_owner:...@host/tenantry
--        SAAS_DATABASE_URL=postgresql://tenantry_app:...@host/tenantry

-- Owns the tables and runs the migrations. Row-level security is forced, so it is confined by the policies too.
CREATE ROLE tenantry_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;

-- What the application connects as: owns nothing, and cannot see past a policy. The application checks that when it
-- starts in production, and refuses any other kind of role.
CREATE ROLE tenantry_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;

-- Compiling a statement pays for those that run for seconds, and its cost is guessed: a page would wait for it.
ALTER ROLE tenantry_app SET jit = off;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO tenantry_owner;
GRANT USAGE ON SCHEMA public TO tenantry_app;

-- Rows only: no TRUNCATE and no REFERENCES, which row-level security does not confine.
ALTER DEFAULT PRIVILEGES FOR ROLE tenantry_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO tenantry_app;
