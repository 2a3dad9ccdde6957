-- What the pipeline and the challenge server may do: the grants of docs/postgres.md (a test holds both
-- equal). Run by the owner after every `hiveguard init`.
GRANT CONNECT, TEMPORARY ON DATABASE hiveguard TO hiveguard_pipeline;
GRANT USAGE ON SCHEMA public TO hiveguard_pipeline, challenge_server;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO hiveguard_pipeline;
GRANT INSERT ON votes, items, datasets, policies, labels, batches, reviews, imports, quarantined_votes,
    exclusions, withdrawals, dataset_progress, recheck_items, contested_items, calibrations, item_details,
    schema_versions, class_map, snapshots, models, prelabels, selections, labeling_queue, label_studio_projects,
    label_studio_tasks, label_studio_annotations, audit_events, audit_heads, api_keys, users, sessions, people,
    workflows, item_stages, stage_transitions, leases, stage_answers TO hiveguard_pipeline;
GRANT UPDATE ON datasets, items, labels, imports, exclusions, dataset_progress, item_details, class_map,
    snapshots, prelabels, label_studio_projects, label_studio_tasks, label_studio_annotations, audit_heads,
    api_keys, users, sessions, item_stages, leases TO hiveguard_pipeline;
GRANT DELETE ON recheck_items, contested_items, quarantined_votes, calibrations, prelabels, labeling_queue,
    sessions, people, item_stages, label_studio_projects, label_studio_tasks, label_studio_annotations
    TO hiveguard_pipeline;
GRANT SELECT ON items, datasets TO challenge_server;
GRANT SELECT, INSERT ON votes TO challenge_server;
