"""What machines that watch the station read: numbers for Prometheus, health, and log lines."""
