-- One job as read.
select * from dataqueue.job_read where id = :id and namespace_id = :namespace_id;
