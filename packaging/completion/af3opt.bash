# bash completion of af3opt. Written by scripts/write_shell_files.py; change the commands' help, not this file.
_af3opt() {
  local word="${COMP_WORDS[COMP_CWORD]}" command="${COMP_WORDS[1]}" flags=""
  local run_flags="--json_path --input_dir --output_dir --model_dir --run_data_pipeline --norun_data_pipeline --run_inference --norun_inference --jackhmmer_binary_path --nhmmer_binary_path --hmmalign_binary_path --hmmsearch_binary_path --hmmbuild_binary_path --db_dir --small_bfd_database_path --small_bfd_z_value --mgnify_database_path --mgnify_z_value --uniprot_cluster_annot_database_path --uniprot_cluster_annot_z_value --uniref90_database_path --uniref90_z_value --ntrna_database_path --ntrna_z_value --rfam_database_path --rfam_z_value --rna_central_database_path --rna_central_z_value --pdb_database_path --seqres_database_path --jackhmmer_n_cpu --jackhmmer_max_parallel_shards --jackhmmer_n_workers --nhmmer_n_cpu --nhmmer_max_parallel_shards --nhmmer_n_workers --hmmsearch_n_cpu --resolve_msa_overlaps --noresolve_msa_overlaps --max_template_date --conformer_max_iterations --fix_standalone_glycans --jax_compilation_cache_dir --gpu_device --jax_backend --buckets --flash_attention_implementation --num_recycles --num_diffusion_samples --num_seeds --save_embeddings --save_distogram --save_terms_of_use --nosave_terms_of_use --force_output_dir --compress_large_output_files --config --print_settings --print_env --run_alphafold_script --script_flags --unified_memory --force_memory --num_threads --fidelity --disable_optimizations --trunk_precision --diffusion_precision --tuned --notuned --num_diffusion_steps --on_nonfinite --debug_numerics --resume --noresume --explain_resume --order --input_list --recursive --shard --array --fail_fast --overlap --dry_run --trace --gpus --cpu_workers --max_runtime --weights_copy --noweights_copy --exact_search --noexact_search --feature_cache --nofeature_cache --feature_cache_dir --feature_cache_gb --msa_cache --nomsa_cache --msa_cache_dir --msa_cache_gb --featurise_workers --report --run_record --norun_record --save_pdb --debug --quiet --log_format"
  if ((COMP_CWORD == 1)) && [[ "$word" != -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "run bench cache collect doctor featurise make-inputs prepare report status submit tune warm help version" -- "$word")
    return
  fi
  case "$command" in
    help) flags="run bench cache collect doctor featurise make-inputs prepare report status submit tune warm" ;;
    run | -*) flags="$run_flags --flag --noflag --flagfile --verbosity --logtostderr --help" ;;
    bench) flags="--suite --case --repeats --output --name --num_recycles --num_diffusion_samples --num_diffusion_steps --depth --model_dir --baseline_python --run_alphafold_script --jax_backend --keep --help --fidelity --debug" ;;
    cache) flags="--cache --json --explain --max_gb --older_than_days --seeds --residues --feature_cache_dir --msa_cache_dir --jax_compilation_cache_dir --help --debug" ;;
    collect) flags="--output --format --best --sort_by --reverse --interface --all_interfaces --all_samples --help --debug" ;;
    doctor) flags="$run_flags --json --help" ;;
    featurise) flags="$run_flags --help" ;;
    make-inputs) flags="--output_dir --targets --pairs --homodimers --copies --kind --designed --upper_case --seeds --dialect --skip_bad --overwrite --dry_run --most_jobs --help --debug" ;;
    prepare) flags="--components_cif --mmcif_dictionary --synthetic_weights --depth --shared --force --list --quiet --help --debug" ;;
    report) flags="--output --png --csv --max_samples --nojob_pages --help --debug" ;;
    status) flags="--json --help --debug" ;;
    submit) flags="$run_flags --site --scheduler --slurm --resubmit --help" ;;
    tune) flags="--notuned --help --debug" ;;
    warm) flags="$run_flags --from_inputs --msa_depths --help" ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$word")
}
# Values are files, as far as the shell can tell.
complete -o default -o bashdefault -F _af3opt af3opt
