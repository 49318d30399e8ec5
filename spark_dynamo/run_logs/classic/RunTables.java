import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Iterator;
import java.util.function.Function;
import java.util.regex.Pattern;

import org.apache.spark.sql.SaveMode;
import org.apache.spark.sql.catalyst.TableIdentifier;
import org.apache.spark.sql.catalyst.catalog.HiveTableRelation;
import org.apache.spark.sql.catalyst.plans.QueryPlan;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import org.apache.spark.sql.catalyst.plans.logical.V2WriteCommand;
import org.apache.spark.sql.connector.catalog.CatalogPlugin;
import org.apache.spark.sql.execution.QueryExecution;
import org.apache.spark.sql.execution.command.CreateDataSourceTableAsSelectCommand;
import org.apache.spark.sql.execution.datasources.HadoopFsRelation;
import org.apache.spark.sql.execution.datasources.InsertIntoHadoopFsRelationCommand;
import org.apache.spark.sql.execution.datasources.LogicalRelation;
import org.apache.spark.sql.execution.datasources.SaveIntoDataSourceCommand;
import org.apache.spark.sql.execution.datasources.jdbc.JDBCRelation;
import org.apache.spark.sql.execution.datasources.v2.DataSourceV2Relation;
import org.apache.spark.sql.types.StructType;

/**
 * The tables that a query reads and writes, by its analyzed plan, as `{"read": {name: schema}, "written": {name: schema}}`, with
 * `"leaves_receipt": true` where the write is one of this package's, which need not write all rows that it is given.
 *
 * `"is_tentative": true` says that the write leaves a table be that is there already (mode `ignore`): whether it wrote is seen at
 * its end. Of options only those that name a table or path are looked at, and user names and passwords in addresses are left out.
 * A schema is told when it is new. What has no name that could be told safely, as a query in place of a table, is left out.
 */
public class RunTables implements Function {
    private static final int MOST_PATHS = 10;
    private static final int MOST_TOLD = 1000;
    private static final Pattern NAME = Pattern.compile("[\\w.$:/\\-\"`\\[\\]]+");
    private static final Pattern USER = Pattern.compile("://[^/@]*@");

    private static final String OWN = "dynamo-meta";

    private boolean leavesReceipt, isTentative;
    private final Map told = new LinkedHashMap() {
        protected boolean removeEldestEntry(Map.Entry eldest) {
            return size() > MOST_TOLD;
        }
    };

    public RunTables() {
    }

    /** The tables of a query execution; null for the execution means that all schemas are new again. */
    public Object apply(Object execution) {
        if (execution == null) {
            told.clear();
            return "null";
        }
        Map read = new LinkedHashMap();
        Map written = new LinkedHashMap();
        QueryExecution query = (QueryExecution) execution;
        // asking for a plan whose analysis failed would change the stack of the user's exception
        if (!query.tracker().phases().contains("analysis")) return "null";
        leavesReceipt = isTentative = false;
        look(query.analyzed(), read, written);
        if (read.isEmpty() && written.isEmpty() && !leavesReceipt) return "null";
        return "{\"read\":" + json(read) + ",\"written\":" + json(written) + ",\"leaves_receipt\":" + leavesReceipt
            + ",\"is_tentative\":" + isTentative + "}";
    }

    private void look(QueryPlan plan, Map read, Map written) {
        if (plan instanceof LogicalRelation) {
            relation((LogicalRelation) plan, read);
        } else if (plan instanceof DataSourceV2Relation) {
            put(read, name((DataSourceV2Relation) plan), plan.schema());
        } else if (plan instanceof HiveTableRelation) {
            put(read, name(((HiveTableRelation) plan).tableMeta().identifier()), plan.schema());
        } else if (plan instanceof V2WriteCommand) {
            V2WriteCommand write = (V2WriteCommand) plan;
            if (write.table() instanceof DataSourceV2Relation) {
                DataSourceV2Relation table = (DataSourceV2Relation) write.table();
                leavesReceipt |= OWN.equals(table.table().name());
                put(written, name(table), write.query().schema());
            }
        } else if (plan instanceof InsertIntoHadoopFsRelationCommand) {
            InsertIntoHadoopFsRelationCommand write = (InsertIntoHadoopFsRelationCommand) plan;
            boolean isTable = write.catalogTable().isDefined();
            isTentative |= write.mode() == SaveMode.Ignore;
            put(written, isTable ? name(((org.apache.spark.sql.catalyst.catalog.CatalogTable) write.catalogTable().get()).identifier())
                : write.outputPath().toString(), write.query().schema());
        } else if (plan instanceof CreateDataSourceTableAsSelectCommand) {
            CreateDataSourceTableAsSelectCommand write = (CreateDataSourceTableAsSelectCommand) plan;
            isTentative |= write.mode() == SaveMode.Ignore;
            put(written, name(write.table().identifier()), write.query().schema());
        } else if (plan instanceof SaveIntoDataSourceCommand) {
            SaveIntoDataSourceCommand write = (SaveIntoDataSourceCommand) plan;
            String table = option(write.options(), "dbtable");
            put(written, table == null ? option(write.options(), "path") : table, write.query().schema());
        }
        each(plan.children(), read, written);
        each(plan.subqueries(), read, written);
        if (!(plan instanceof LogicalRelation)) each(plan.innerChildren(), read, written);
    }

    private void each(scala.collection.Iterable plans, Map read, Map written) {
        scala.collection.Iterator each = plans.iterator();
        while (each.hasNext()) {
            Object plan = each.next();
            if (plan instanceof LogicalPlan) look((QueryPlan) plan, read, written);
        }
    }

    private void relation(LogicalRelation plan, Map read) {
        StructType schema = plan.relation().schema();
        if (plan.catalogTable().isDefined()) {
            put(read, name(((org.apache.spark.sql.catalyst.catalog.CatalogTable) plan.catalogTable().get()).identifier()), schema);
        } else if (plan.relation() instanceof JDBCRelation) {
            put(read, ((JDBCRelation) plan.relation()).jdbcOptions().tableOrQuery(), schema);
        } else if (plan.relation() instanceof HadoopFsRelation) {
            scala.collection.Iterator paths = ((HadoopFsRelation) plan.relation()).location().rootPaths().iterator();
            for (int count = 0; count < MOST_PATHS && paths.hasNext(); count++) put(read, paths.next().toString(), schema);
        }
    }

    private static String name(DataSourceV2Relation relation) {
        if (relation.identifier().isDefined()) {
            String catalog = relation.catalog().isDefined() ? ((CatalogPlugin) relation.catalog().get()).name() + "." : "";
            return plain(catalog + relation.identifier().get().toString());
        }
        String table = relation.options().get("table");
        if (table == null) table = relation.options().get("path");
        return table == null ? relation.table().name() : table;
    }

    private static String name(TableIdentifier identifier) {
        return plain(identifier.unquotedString());
    }

    private static String plain(String name) {
        return name.startsWith("spark_catalog.") ? name.substring("spark_catalog.".length()) : name;
    }

    private static String option(scala.collection.Map options, String wanted) {
        scala.collection.Iterator each = options.iterator();
        while (each.hasNext()) {
            scala.Tuple2 option = (scala.Tuple2) each.next();
            if (wanted.equalsIgnoreCase((String) option._1())) return (String) option._2();
        }
        return null;
    }

    private void put(Map tables, String name, StructType schema) {
        if (name == null) return;
        name = USER.matcher(name.trim()).replaceAll("://");
        boolean isAddress = name.contains("://") || name.startsWith("file:") || name.startsWith("/");
        if (name.isEmpty() || name.startsWith("jdbc:") || (!isAddress && !NAME.matcher(name).matches())) return;
        Integer hash = Integer.valueOf(schema.hashCode());
        tables.put(name, hash.equals(told.put(name, hash)) ? null : schema.json());
    }

    private static String json(Map tables) {
        StringBuilder text = new StringBuilder("{");
        Iterator each = tables.entrySet().iterator();
        while (each.hasNext()) {
            Map.Entry table = (Map.Entry) each.next();
            if (text.length() > 1) text.append(',');
            text.append(RunEvents.quoted((String) table.getKey())).append(':');
            text.append(table.getValue() == null ? "null" : (String) table.getValue());
        }
        return text.append('}').toString();
    }
}
