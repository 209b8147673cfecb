// For `node --import`: mmx fetches finished videos by https whatever their address says, and the simulator has no
// certificate. What it asks this machine by https is asked by http; everything else is left alone.

const original = globalThis.fetch;
globalThis.fetch = (url, options) => original(String(url).replace("https://127.0.0.1:", "http://127.0.0.1:"), options);
