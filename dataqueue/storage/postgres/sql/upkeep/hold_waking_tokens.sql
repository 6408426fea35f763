-- Lock ended tokens of which not all who wait for them have heard: whoever ended them was cut off, or is still about it.
select id from dataqueue.token
where waking and (cast(:namespace_id as int) is null or namespace_id = :namespace_id)
order by id limit :limit for update skip locked;
