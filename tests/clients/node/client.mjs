// Everything that OpenAI's client for JavaScript can do with videos; run by tests/clients/test_node.py.
// BASE_URL, KEY, CLIP and IMAGE are in the environment; what was seen goes to standard output as one JSON object.
import fs from 'node:fs';
import OpenAI, { toFile } from 'openai';
import { VERSION } from 'openai/version';

const { BASE_URL, KEY, CLIP, IMAGE, IMAGE_URL } = process.env;
const client = new OpenAI({ baseURL: BASE_URL, apiKey: KEY });
const videos = client.videos;
const seen = { version: VERSION, node: process.version };

async function raised(call) {
  try {
    await call();
  } catch (error) {
    const { status, code, param, requestID } = error;
    return { class: error.constructor.name, text: String(error.message), status, code, param, request_id: requestID };
  }
  return { class: null };
}

async function poll(id) {
  for (;;) {
    const { data, response } = await videos.retrieve(id).withResponse();
    if (!['queued', 'in_progress'].includes(data.status)) return data;
    await new Promise((resolve) => setTimeout(resolve, Number(response.headers.get('openai-poll-after-ms'))));
  }
}

async function collect(page) {
  const all = [];
  for await (const one of page) all.push(one.id);
  return all;
}

const luna = await videos.createCharacter({ name: 'Luna', video: fs.createReadStream(CLIP) });
const byBytes = await videos.createCharacter({ name: 'Luna', video: await toFile(fs.readFileSync(CLIP), 'luna.mp4') });
seen.characters = [await videos.getCharacter(luna.id), await videos.getCharacter(byBytes.id)];

// `characters` is not among the typed parameters and goes out all the same.
const order = { model: 'sora-2', prompt: 'Luna runs over wet stones', seconds: '4', size: '1280x720' };
const video = await poll((await videos.create({ ...order, characters: [{ id: luna.id }] })).id);
seen.video = video;
seen.created = [
  await videos.create({ ...order, input_reference: fs.createReadStream(IMAGE) }),
  await videos.create({ ...order, input_reference: { image_url: IMAGE_URL } }),
];

const edits = [
  await videos.edit({ prompt: 'dusk', video: { id: video.id } }),
  await videos.edit({ prompt: 'dusk', video: fs.createReadStream(CLIP), model: 'sora-2' }),
];
const extension = await videos.extend({ prompt: 'she waves', video: { id: video.id }, seconds: '4' });
const remix = await videos.remix(video.id, { prompt: 'in the snow' });
seen.edits = [];
for (const one of edits) seen.edits.push(await poll(one.id));
seen.extensions = [await poll(extension.id)];
seen.remix = await poll(remix.id);

const listed = await collect(videos.list({ limit: 3, order: 'desc' }));
seen.listed_once = new Set(listed).size === listed.length;
seen.all_listed = [video, ...seen.created, ...edits, extension, remix].every((one) => listed.includes(one.id));

seen.content = {};
for (const variant of ['video', 'thumbnail', 'spritesheet']) {
  const data = Buffer.from(await (await videos.downloadContent(video.id, { variant })).arrayBuffer());
  seen.content[variant] = { bytes: data.length, head: data.subarray(0, 12).toString('hex') };
}

seen.deleted = await videos.delete(video.id);
seen.gone = await raised(() => videos.retrieve(video.id));
seen.unknown_model = await raised(() => videos.create({ model: 'none', prompt: 'x' }));
seen.wrong_key = await raised(() => client.withOptions({ apiKey: 'us-wrong' }).videos.retrieve(video.id));
console.log(JSON.stringify(seen));
