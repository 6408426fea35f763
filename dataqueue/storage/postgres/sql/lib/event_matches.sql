-- Of candidate, as `domain.events.EventFilter.matches`; null does not narrow.
where (cast(:events as text[]) is null or event = any(cast(:events as text[])))
    and (cast(:job_types as text[]) is null or job_type = any(cast(:job_types as text[])))
    and case when cast(:tags as text[]) is null then true
        when :tag_mode = 'exact' then tags @> cast(:tags as text[]) and tags <@ cast(:tags as text[])
        when :tag_mode = 'all' then tags @> cast(:tags as text[])
        when :tag_mode = 'any' then tags && cast(:tags as text[])
        else not tags && cast(:tags as text[]) end
