"""Alembic's entry: run on the connection that `dataqueue migrate` hands over."""

from alembic import context

connection = context.config.attributes["connection"]
# Created before our revisions run, so the schema must be there for the version table itself.
connection.exec_driver_sql("create schema if not exists dataqueue")
context.configure(connection=connection, version_table_schema="dataqueue")
with context.begin_transaction():
    context.run_migrations()
