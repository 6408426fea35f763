delete from dataqueue.worker where namespace_id = :namespace_id and id = :id;
