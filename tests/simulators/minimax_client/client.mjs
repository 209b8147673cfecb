// One order, from the prompt to the file, by MiniMax's provider of the AI SDK.
//
//   node client.mjs '{"model": "MiniMax-H3", "prompt": "...", "file": "out.mp4", ...}'
//
// Address and key come from MINIMAX_URL and MINIMAX_KEY. Prints one JSON object: what the SDK says of the video, or its
// error.

import { createMiniMax } from "@ai-sdk/minimax";
import { experimental_generateVideo as generateVideo } from "ai";
import { readFile, writeFile } from "node:fs/promises";

const { model, file, minimax: options, references = [], image, prompt, ...order } = JSON.parse(process.argv[2]);
const minimax = createMiniMax({ videoBaseURL: process.env.MINIMAX_URL, apiKey: process.env.MINIMAX_KEY });

// The SDK refuses addresses of this machine, where the simulator lives; otherwise this is what it does itself.
async function download({ url }) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`the address of the video answered ${answer.status}`);
  return { data: new Uint8Array(await answer.arrayBuffer()), mediaType: answer.headers.get("content-type") };
}

try {
  const { video, warnings, providerMetadata } = await generateVideo({
    model: minimax.video(model),
    prompt: image ? { text: prompt, image: await readFile(image) } : prompt,
    inputReferences: await Promise.all(references.map((path) => readFile(path))),
    providerOptions: { minimax: { pollIntervalMs: 50, pollTimeoutMs: 60_000, ...options } },
    maxRetries: 0,
    download,
    ...order,
  });
  if (file) await writeFile(file, video.uint8Array);
  console.log(JSON.stringify({ mediaType: video.mediaType, warnings, metadata: providerMetadata.minimax }));
} catch (error) {
  const { name, message, statusCode } = error.cause ?? error;
  console.log(JSON.stringify({ error: { name, message, statusCode } }));
}
