"""What the DAG files need of Airflow: assets, triggers, the executor, the tasks of models."""
