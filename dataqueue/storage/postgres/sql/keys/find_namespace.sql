select id from dataqueue.namespace where name = :name;
