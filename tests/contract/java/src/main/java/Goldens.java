import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.avro.message.BinaryMessageEncoder;

/**
 * Writes and reads SessionUpdated records with Avro's Java implementation, as a witness for ours.
 *
 * <p>Usage: {@code Goldens write|read|canonical SCHEMA}. {@code write} turns events (JSON lines on
 * standard input) into single-object encoded records in hex; {@code read} does the opposite, leaving
 * out fields that are null; {@code canonical} prints the schema's Parsing Canonical Form and, on the
 * next line, its CRC-64-AVRO as a number in hex, most significant digit first.
 */
public final class Goldens {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final HexFormat HEX = HexFormat.of();

  private interface Line {
    String convert(String line) throws IOException;
  }

  public static void main(String[] arguments) throws IOException {
    Schema schema = new Schema.Parser().parse(Path.of(arguments[1]).toFile());
    switch (arguments[0]) {
      case "write" -> eachLine(writer(schema));
      case "read" -> eachLine(reader(schema));
      case "canonical" -> printCanonical(schema);
      default -> throw new IllegalArgumentException("unknown mode " + arguments[0]);
    }
  }

  private static Line writer(Schema schema) {
    var encoder = new BinaryMessageEncoder<GenericRecord>(new GenericData(), schema);
    return line -> {
      ByteBuffer record = encoder.encode(toRecord(JSON.readTree(line), schema));
      byte[] bytes = new byte[record.remaining()];
      record.get(bytes);
      return HEX.formatHex(bytes);
    };
  }

  private static Line reader(Schema schema) {
    var decoder = new BinaryMessageDecoder<GenericRecord>(new GenericData(), schema);
    return line -> JSON.writeValueAsString(toEvent(decoder.decode(HEX.parseHex(line))));
  }

  private static void printCanonical(Schema schema) throws IOException {
    output().println(SchemaNormalization.toParsingForm(schema));
    output().println(HEX.toHexDigits(SchemaNormalization.parsingFingerprint64(schema)));
  }

  private static GenericRecord toRecord(JsonNode event, Schema schema) {
    GenericRecord record = new GenericData.Record(schema);
    for (Schema.Field field : schema.getFields()) {
      JsonNode value = event.get(field.name());
      record.put(field.pos(), value == null ? null : value(value, notNull(field.schema())));
    }
    return record;
  }

  private static Schema notNull(Schema schema) {
    return schema.isUnion() ? schema.getTypes().get(1) : schema;
  }

  private static Object value(JsonNode value, Schema schema) {
    return switch (schema.getType()) {
      case STRING -> value.textValue();
      case LONG -> value.longValue();
      case INT -> value.intValue();
      case DOUBLE -> value.doubleValue();
      case BOOLEAN -> value.booleanValue();
      case ARRAY -> items(value, schema.getElementType());
      default -> throw new IllegalArgumentException("the contract has no type " + schema);
    };
  }

  private static List<Object> items(JsonNode values, Schema schema) {
    List<Object> items = new ArrayList<>();
    values.forEach(value -> items.add(value(value, schema)));
    return items;
  }

  private static Map<String, Object> toEvent(GenericRecord record) {
    Map<String, Object> event = new LinkedHashMap<>();
    for (Schema.Field field : record.getSchema().getFields()) {
      Object value = record.get(field.pos());
      if (value != null) {
        event.put(field.name(), plain(value));
      }
    }
    return event;
  }

  private static Object plain(Object value) {
    if (value instanceof List<?> items) {
      return items.stream().map(Goldens::plain).toList();
    }
    return value instanceof CharSequence ? value.toString() : value;
  }

  private static void eachLine(Line conversion) throws IOException {
    var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = input.readLine(); line != null; line = input.readLine()) {
      output().print(conversion.convert(line) + "\n");
    }
  }

  private static PrintStream output() {
    return new PrintStream(System.out, true, StandardCharsets.UTF_8);
  }
}
