// The same relay with Node's usual client: consume, publish with confirms in flight, acknowledge in
// order, many at a time. Usage: relay.js URL QUEUE EXCHANGE
const amqp = require('amqplib');

const PREFETCH = 256;

async function main(url, queue, exchange) {
  const source = await (await amqp.connect(url)).createChannel();
  const target = await (await amqp.connect(url)).createConfirmChannel();
  await source.prefetch(PREFETCH);
  let unacked = 0;
  await source.consume(queue, (message) => {
    const { fields, properties, content } = message;
    target.publish(exchange, fields.routingKey, content, { ...properties, mandatory: true }, (error) => {
      if (error) throw error;
      unacked += 1;
      if (unacked >= PREFETCH / 4) {
        source.ack(message, true);
        unacked = 0;
      }
    });
  });
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
