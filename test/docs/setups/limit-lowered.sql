ALTER DATABASE :"DBNAME" SET pg_tviews.max_queue_size = 100;
