"""The services of one machine: the embedded PostgreSQL, Airflow as child processes, progress on the screen."""
