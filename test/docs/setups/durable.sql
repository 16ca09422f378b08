-- what a slot decodes has to be on disk, and these servers are not in a hurry to write it
ALTER DATABASE :"DBNAME" SET synchronous_commit = on;
