// A real client of AWS IoT against the simulator. Takes a list of calls as JSON from the environment
// variable CALLS and prints the outcome of each as JSON. Run where @aws-sdk/client-iot is installed.

import { createRequire } from "node:module";

const iot = createRequire(process.cwd() + "/")("@aws-sdk/client-iot");
const client = new iot.IoTClient({ maxAttempts: 2 });

async function outcome({ command, input }) {
  try {
    const { $metadata, ...output } = await client.send(new iot[command](input));
    return { output, attempts: $metadata.attempts, requestId: $metadata.requestId };
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
