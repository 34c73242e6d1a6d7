// A real client of AWS IoT against the simulator. Takes a list of calls as JSON from the environment
// variable CALLS and prints the outcome of each as JSON. Run where @aws-sdk/client-iot is installed.
//
//   { command, input }              one command
//   { paginate, input, pageSize }   all pages of a list, in the order of their arrival
//   { links }                       what the links in a list of reports lead to; links is the list's input

import { get } from "node:https";
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const iot = createRequire(process.cwd() + "/")("@aws-sdk/client-iot");
const client = new iot.IoTClient({ maxAttempts: 2 });

async function send(command, input) {
  const { $metadata, ...output } = await client.send(new iot[command](input));
  return { output, attempts: $metadata.attempts, requestId: $metadata.requestId };
}

async function pages(paginate, input, pageSize) {
  const output = [];
  for await (const { $metadata, ...page } of iot[paginate]({ client, pageSize }, input)) {
    output.push(page);
  }
  return { output };
}

// What a link leads to when it is taken as it is: fetch() and URL would rewrite its path.
async function download(link) {
  const [, hostname, port, path] = link.match(/^https:\/\/([^/:]*):(\d+)(\/.*)$/);
  const reply = await new Promise((resolve, reject) => {
    get({ hostname, port, path }, resolve).on("error", reject);
  });
  return { status: reply.statusCode, text: await text(reply) };
}

async function downloads(input) {
  const { output } = await send("ListThingRegistrationTaskReportsCommand", input);
  const texts = [];
  for (const link of output.resourceLinks) {
    texts.push(await download(link));
  }
  return { output: texts };
}

async function outcome({ command, paginate, pageSize, links, input }) {
  try {
    if (links) return await downloads(links);
    return await (command ? send(command, input) : pages(paginate, input, pageSize));
  } catch (error) {
    return {
      error: error.name,
      message: error.message,
      modeled: error instanceof iot.IoTServiceException,
      status: error.$metadata?.httpStatusCode,
      attempts: error.$metadata?.attempts,
    };
  }
}

const outcomes = [];
for (const call of JSON.parse(process.env.CALLS)) {
  outcomes.push(await outcome(call));
}
console.log(JSON.stringify(outcomes));
