// Pictures of the first rows of the table, in its order.

const GALLERY_SIZE = 4;

/** A job's picture with its name and a score. */
function galleryItem(job, score, palette, chosen) {
  const canvas = el("canvas", { role: "img", "aria-label": `Structure of ${job.name}` });
  const picture = el("div", { class: "picture" }, job.trace ? canvas : el("span", { class: "muted small" }, "no structure"));
  if (job.trace) {
    loadTrace(job).then((trace) => drawTrace(canvas, trace, palette, {
      width: picture.clientWidth, height: picture.clientHeight,
    }));
  }
  return el("li", { "data-chosen": chosen, "data-job": job.directory, title: job.name }, picture, nameNode(job),
    el("small", { class: "muted" }, `${score.label} ${scoreText(job, score)}`));
}

/** Shows the first jobs; one that was chosen and is not among them goes in front. */
function showGallery(jobs, score, palette, chosen) {
  const first = jobs.slice(0, GALLERY_SIZE);
  if (chosen && !first.includes(chosen)) first.splice(0, first.length < GALLERY_SIZE ? 0 : 1, chosen);
  fill("gallery", first.map((job) => galleryItem(job, score, palette, job === chosen)));
}
