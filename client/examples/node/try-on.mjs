// A try-on with a garment switch through the stock Node gRPC client. See README.md.
//
//   node try-on.mjs ADDRESS PERSON GARMENT OTHER_GARMENT OUT.mp4 [SECONDS]

import { randomUUID } from "node:crypto";
import { createWriteStream, readFileSync } from "node:fs";
import { finished } from "node:stream/promises";
import { fileURLToPath } from "node:url";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const AFFINITY = "chameleon-pod"; // of a gateway's first answer: whoever returns it comes back to that server
const CREDITS = 3; // chunks under way: the protocol's limit
const SWITCH_AFTER = 1; // the chunk after whose arrival the garment is switched

const [address, person, garment, other, out, length = "8"] = process.argv.slice(2);
if (!out || !(Number(length) > 0)) {
  console.error("usage: node try-on.mjs ADDRESS PERSON GARMENT OTHER_GARMENT OUT.mp4 [SECONDS]");
  process.exit(2);
}

const definition = protoLoader.loadSync("fashionchameleon/v1/customization_service.proto", {
  includeDirs: [fileURLToPath(new URL("../../../proto", import.meta.url))],
  longs: String, // a seed has 64 bits, a Number 53
  enums: String,
  oneofs: true,
  defaults: true,
});
const { CustomizationService } = grpc.loadPackageDefinition(definition).fashionchameleon.v1;
const client = new CustomizationService(address, grpc.credentials.createInsecure(), {
  "grpc.max_receive_message_length": 16 << 20,
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 10_000,
});

const picture = (path) => ({ data: readFileSync(path) });
const seconds = ({ seconds, nanos }) => Number(seconds) + nanos / 1e9;
const duration = (value) => ({ seconds: Math.floor(value), nanos: Math.floor((value % 1) * 1e9) });

const since = (start) => (performance.now() - start) / 1000;

/** Resolves with the session, and with the metadata that bring further calls to its server. */
function createSession(request) {
  return new Promise((resolve, reject) => {
    const place = new grpc.Metadata();
    const call = client.CreateSession(request, (error, answer) => {
      if (error) reject(error);
      else resolve({ session: answer.session, place });
    });
    call.on("metadata", (answer) => answer.get(AFFINITY).forEach((value) => place.set(AFFINITY, value)));
  });
}

async function tryOn() {
  const [personPicture, garmentPicture, otherPicture] = [person, garment, other].map(picture);
  const began = performance.now();
  const { session, place } = await createSession({
    requestId: randomUUID(),
    person: personPicture,
    garment: { picture: garmentPicture },
    prompt: "The person turns slowly.",
    output: { format: "MEDIA_FORMAT_H264_FMP4" },
    pacing: "PACING_MODE_UNPACED",
    maxDuration: duration(Number(length)),
  });
  const summary = { session: session.name, seed: session.seed, chunks: 0, frames: 0, bytes: 0 };
  const file = createWriteStream(out);
  const written = finished(file);
  const call = client.Interact(place);
  const eventId = randomUUID();
  let asked;
  let header;
  let parts;

  const write = (data) => {
    file.write(data);
    summary.bytes += data.length;
  };

  const chunkReceived = () => {
    summary.chunks += 1;
    summary.frames += header.frameCount;
    summary.timeToFirstFrameSeconds ??= since(began);
    call.write({ credits: { chunks: 1 } }); // the chunk is taken: one more may come
    if (Number(header.sequence) === SWITCH_AFTER) {
      asked = performance.now();
      call.write({ switchGarment: { eventId, garment: { picture: otherPicture } } });
    }
    if (header.appliedEventIds.includes(eventId)) summary.switch.firstFrameReceivedSeconds = since(asked);
  };

  const handlers = {
    chunkHeader: (next) => {
      header = next;
      parts = 0;
    },
    mediaPart: ({ data }) => {
      write(data);
      parts += 1;
      if (parts === header.partCount) chunkReceived();
    },
    switchAccepted: () => {
      summary.switch = { acceptedSeconds: since(asked) };
    },
    switchApplied: ({ sequence, firstFrame }) =>
      Object.assign(summary.switch, { sequence: Number(sequence), firstFrame: Number(firstFrame) }),
    switchRejected: ({ reason, message }) => {
      summary.switch = { rejected: `${reason}: ${message}` };
    },
    ended: ({ reason, generated }) => {
      Object.assign(summary, { reason, videoSeconds: seconds(generated) });
      call.end();
    },
  };

  return new Promise((resolve, reject) => {
    call.on("data", ({ event }) => handlers[event.event]?.(event[event.event]));
    call.on("error", reject);
    call.on("end", () => file.end());
    written.then(
      () => resolve(summary),
      (error) => {
        call.cancel(); // the session ends after its detach grace
        reject(error);
      },
    );
    call.write({ attach: { name: session.name } });
    call.write({ credits: { chunks: CREDITS } });
  });
}

try {
  console.log(JSON.stringify(await tryOn()));
} catch (error) {
  console.error(`${grpc.status[error.code] ?? "ERROR"}: ${error.details ?? error.message}`);
  process.exitCode = 1;
} finally {
  client.close();
}
